"""What people are told of a detector's files, in Markdown; light to import."""

NAME = "detection"
DETECTIONS_NOTE = """\
- Outputs: `boxes` `[1, K, 4]` as top, left, bottom and right in shares of the canvas, `classes` `[1, K]`, `scores`
  `[1, K]` in 0..1, the highest first, and `count` `[1]`: how many of the K are there. Line i of `labels.txt` names
  class i, counted from 0. Images keep their aspect: they stand at the top left of a canvas of the run's
  largest size, with black beside them. A file that sees another size sees this canvas resized, maybe to another aspect;
  what its metadata says of the input names the canvas."""
"""What a file of detections returns, in Markdown."""
RAW_NOTE = """\
- Files `..._raw.tflite` return `boxes` `[1, A, 4]`, shifts of the anchors in (dy, dx, dh, dw), and `scores`
  `[1, A, C]`."""
"""What a file of raw boxes returns."""
