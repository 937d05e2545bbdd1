"""What the tests sign with."""

DIAGNOSIS = "Acute infarct, left MCA territory; no haemorrhage."
PASSWORD = "correct horse"
