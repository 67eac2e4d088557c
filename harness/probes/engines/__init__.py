"""Questions to lmdeploy and transformers: imports, configuration, model input, boot."""
