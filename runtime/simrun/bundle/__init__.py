"""A model on disk, read and verified.

In: a model's name or folder. Out: a `Bundle`: graphs as bytes, and their metadata, checked.
`load` finds and verifies it, open that first; `metadata` is the schema, field by field.
"""
