"""Runs an exported file on images, or on all images of a folder: prints labels and scores, of a detector also boxes.

ofar predict --file=RUN/export/NAME/NAME_int8.tflite photo.jpg
"""

from pathlib import Path

from ofar_tf import flags
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.text.quiet import quiet_start


def main(config: PredictConfig) -> int:
    """Runs the command; its status is 1 if an image could not be read."""
    with quiet_start():
        from ofar_tf.shipping.photographs import find_images, picture_paths
        from ofar_tf.shipping.prediction import (
            Detector,
            as_json,
            as_text,
            open_network,
            predict,
            read_labels,
        )
    with flags.one_line_errors():
        given = map(Path, config.images)
        images = list(dict.fromkeys(image for each in given for image in find_images(each)))
        pictures = picture_paths(images, Path(config.pictures_dir)) if config.pictures_dir else {}
        path = Path(config.file)
        with quiet_start():
            network = open_network(path)
        labels = read_labels(path, given=Path(config.labels) if config.labels else None, classes=network.classes)
    failed = False
    for image in images:
        try:
            if isinstance(network, Detector):
                picture = pictures.get(image)
                found = network.look(image, labels=labels, min_score=config.min_score, picture=picture)
            else:
                (found,) = predict(network, [image], labels=labels, top=config.top)
        except (ValueError, OSError) as error:
            flags.print_error(error)
            failed = True
            continue
        print(as_json(found) if config.json else as_text(found))
    return 1 if failed else 0


if __name__ == "__main__":
    flags.run(main, PredictConfig, positional="images")
