"""Scenes with text, generated: the class of every window is known to who draws it.

In: the fonts, words and photos that `fetch` lays out. Out: scenes (`store`, on disk) and crops of
characters, with labels; no network. Open `scenes` first: from `background` it goes by `blocks` (of
`glyphs`), `poses`, `painting` and `labelling`, on a `canvas`, to `camera`. `splits` has the data
set `scene-text`, `characters` the one of that name.
"""
