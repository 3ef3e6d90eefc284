"""From a subnet to files that phones load: conversion, checks, measurements, the manifest and the choice of a file.

Import the modules themselves: this file imports nothing, so that `ofar_tf.deploy.selection` starts without TensorFlow
and a conversion process (`python -m ofar_tf.deploy.conversion`) imports only what it needs.
"""
