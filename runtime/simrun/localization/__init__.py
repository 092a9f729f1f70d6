"""From a frame to regions.

In: a frame and a session. Out: quads in pixels of the frame, each with a score.
In the order of the data: `preprocess` shrinks the frame, `heatmap` runs the graph, `regions`
thresholds H and boxes its components, `lines` joins those of text. Open `heatmap` first.
"""
