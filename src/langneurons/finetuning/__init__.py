"""Fine-tuning with LoRA whose rows are restricted to neurons."""
