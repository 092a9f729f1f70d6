"""The training of `scene-text`: free material, generated scenes, the recipe."""
