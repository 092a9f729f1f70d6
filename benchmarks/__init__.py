"""How good, how fast, how large, how long: every published figure has its script here."""
