"""simtool: train a classifier, ablate its last filters, export the localizer."""
