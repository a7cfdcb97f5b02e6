"""The synthetic data set: what its clips show, and writers of every raw layout that is read here."""
