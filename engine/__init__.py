"""The Seqway engine: model, training, export and the runtime that serves inside Triton."""
