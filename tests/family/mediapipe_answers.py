"""What MediaPipe makes of TFLite files; started by `test_mediapipe`, in an environment that has mediapipe alone.

python mediapipe_answers.py IMAGES.npy FILE.tflite [FILE.tflite ...]

Prints one JSON object: for each file its categories for each image, as [index, name, score], and what the file says
about itself, read by MediaPipe's copy of the schema; or why MediaPipe refuses it.
"""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema
from mediapipe.tasks.python import BaseOptions, vision


def answer(path, images):
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path))
    try:
        classifier = vision.ImageClassifier.create_from_options(options)
    except Exception as error:  # It turns each of its own kinds of errors into another of Python's.
        return {"refused": str(error)}
    with classifier:
        pictures = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image) for image in images]
        results = [classifier.classify(picture).classifications[0].categories for picture in pictures]
    categories = [[(one.index, one.category_name, one.score) for one in result] for result in results]
    return {"categories": categories, "metadata": metadata_of(path)}


def metadata_of(path):
    model = model_schema.ModelT.InitFromPackedBuf(Path(path).read_bytes())
    entries = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    if not entries:
        return None
    (entry,) = entries
    about = metadata_schema.ModelMetadataT.InitFromPackedBuf(bytes(model.buffers[entry.buffer].data))
    (subgraph,) = about.subgraphMetadata
    (scores,) = subgraph.outputTensorMetadata
    texts = (about.name, about.description, about.version, about.author, about.license, scores.associatedFiles[0].name)
    return [text.decode() for text in texts]


print(json.dumps({path: answer(path, np.load(sys.argv[1])) for path in sys.argv[2:]}))
