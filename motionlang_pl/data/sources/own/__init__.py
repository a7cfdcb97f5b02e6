"""Users' own motion files: BVH, ASF/AMC and arrays of joints, with a table of captions."""
