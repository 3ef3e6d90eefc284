package org.tensorflow.lite;

import java.nio.ByteBuffer;

/** After LiteRT's reference. */
public class Interpreter implements AutoCloseable {
    public Interpreter(ByteBuffer byteBuffer, Options options) {}

    public Tensor getInputTensor(int inputIndex) {
        throw new UnsupportedOperationException();
    }

    public Tensor getOutputTensor(int outputIndex) {
        throw new UnsupportedOperationException();
    }

    public void run(Object input, Object output) {}

    @Override
    public void close() {}

    public static class Options {
        public Options setNumThreads(int numThreads) {
            return this;
        }
    }
}
