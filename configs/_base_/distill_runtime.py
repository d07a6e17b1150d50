# The runner of every distillation run: its checkpoints open in plain mmdet,
# and several processes can train on CPU.
runner_type = 'mmdeepkd.DistillRunner'
