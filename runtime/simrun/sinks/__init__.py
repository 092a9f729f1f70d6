"""Where results go.

In: a frame and its `Result`. Out: files, a window, a broker, a page.
Open `registry` first: the kinds by name; `base` is what each has to be; `fanout` drives all of a
run as one; `overlay` draws for those that show pictures; `web` is the page.
"""
