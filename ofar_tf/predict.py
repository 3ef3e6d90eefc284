"""Runs an exported file on an image, or on all images of a folder: prints labels and scores.

python -m ofar_tf.predict --file=RUN/export/NAME/NAME_int8.tflite photo.jpg
"""

import json
import sys
from pathlib import Path

from ofar_tf import flags
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.text.quiet import quiet_start


def main(config: PredictConfig) -> int:
    """Runs the command; its status is 1 if an image could not be read."""
    with quiet_start():
        from ofar_tf.shipping.prediction import find_images, open_network, predict, read_labels
    with flags.one_line_errors():
        images = find_images(Path(config.images))
        path = Path(config.file)
        with quiet_start():
            network = open_network(path)
        labels = read_labels(path, given=Path(config.labels) if config.labels else None, classes=network.classes)
    failed = False
    for image in images:
        try:
            (found,) = predict(network, [image], labels=labels, top=config.top)
        except (ValueError, OSError) as error:
            print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
            failed = True
            continue
        if config.json:
            scores = [{"label": label, "score": score} for label, score in found.labels]
            print(json.dumps({"image": str(image), "labels": scores}))
        else:
            print(f"{image}: {', '.join(f'{label} {score:.1%}' for label, score in found.labels)}")
    return 1 if failed else 0


if __name__ == "__main__":
    flags.run(main, PredictConfig, positional="images")
