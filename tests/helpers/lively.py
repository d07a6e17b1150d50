"""Teachers in which every layer has a say."""
import torch


def liven(path, seed=2):
    """Change a saved teacher as a training would; return its path.

    The last BatchNorm of a residual block starts with the weight 0, so that
    the block does nothing, and running statistics with 0 and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    saved = torch.load(path)
    state = saved['state_dict']
    for name, value in state.items():
        if name.endswith('running_mean'):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith('running_var'):
            value.uniform_(0.5, 2, generator=generator)
            weight = state[name.replace('running_var', 'weight')]
            weight.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith('fc_cls.weight'):
            # Of detectors, whose logits are small at first.
            value.normal_(generator=generator)
    torch.save(saved, path)
    return str(path)


def has_a_say(module, weight, images):
    """Whether a weight of a module is seen in all of its outputs."""
    before = module(images)
    with torch.no_grad():
        module.get_parameter(weight).mul_(1.5)
    return all(float((a - b).abs().max()) > 0.01 * float(a.abs().max())
               for a, b in zip(before, module(images)))
