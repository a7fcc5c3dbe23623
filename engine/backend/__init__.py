"""The backend `seqway` of Triton."""
