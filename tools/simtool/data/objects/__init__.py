"""Scenes composed of somebody's own pictures, a folder a class: no box is drawn by anybody."""
