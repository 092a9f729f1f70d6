"""Scenes and lines of text, generated: what stands where is known to who draws it.

In: the fonts, words and photos that `fetch` lays out. Out: scenes (`store`, on disk), crops of
characters, and strips of one line (`strip_store`), with labels; no network. Open `scenes` first:
from `background` it goes by `blocks` (of `glyphs`), `poses`, `painting` and `labelling`, on a
`canvas`, to `camera`. `strips` has the lines: `phrases` says what they say, `line_ink`, `line_pose`
and `line_painting` draw them, `scene_strips` cuts them out of scenes. `splits` has the data set
`scene-text`, `characters` the one of that name.
"""
