"""The door: every effect of every plan passes here."""
