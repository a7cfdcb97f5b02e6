"""Geometry of motion on torch tensors: skeletons, rotations, kinematics, resampling, feature kinds."""
