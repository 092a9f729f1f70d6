"""Virtual machines with a real V4L2 camera, and what runs in them."""
