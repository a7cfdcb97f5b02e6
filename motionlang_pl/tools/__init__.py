"""One file per command of `motionlang` beside training."""
