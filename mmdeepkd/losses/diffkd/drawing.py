"""Random draws that leave every other random number of a run as it is."""
import random
from typing import Any, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor, distributed, nn

from mmdeepkd.functional.diffusion import NUM_TIMESTEPS


class Draws(NamedTuple):
    """The random numbers of one forward.

    Attributes:
        adapter_noise: Normal, (N, c, H, W): mixed into the student's feature.
        noise: Normal, (N, c, H, W): added to the teacher's.
        timesteps: Uniform in 0..999, int64, (N,): how much of it.
    """

    adapter_noise: Tensor
    noise: Tensor
    timesteps: Tensor


def draw(shape: Tuple[int, ...], dtype: torch.dtype, device: torch.device,
         seed: int) -> Draws:
    """Return the draws of a seed; no global generator is used.

    Args:
        shape: (N, c, H, W) of the features.
        dtype: Of the noise.
        device: Where they are drawn; each kind has its own numbers.
        seed: At least 0, less than 2 ** 64.
    """
    generator = torch.Generator(device=device)
    generator.manual_seed(seed)
    adapter_noise, noise = (
        torch.randn(shape, generator=generator, dtype=dtype, device=device)
        for _ in range(2))
    timesteps = torch.randint(
        NUM_TIMESTEPS, shape[:1], generator=generator, device=device)
    return Draws(adapter_noise, noise, timesteps)


class RandomDraws(nn.Module):
    """A module that draws by counting.

    A draw is fixed by the run's seed, the rank, the place and how many
    draws were made in training before: ranks draw different numbers, a
    resumed run draws what it would have drawn, and the student's own random
    numbers (RoI sampling, dropout) are those of a run without the module.

    Attributes:
        num_draws: How often it has drawn in training. The host reads it in
            every step, so it is a number here, and a tensor only in the
            state dict.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_draws = 0

    def draws(self, shape: Tuple[int, ...], dtype: torch.dtype,
              device: torch.device, place: str) -> Draws:
        """Return the next draws; in eval mode the same every time.

        Args:
            shape: (N, c, H, W) of the features.
            dtype: Of the noise.
            device: Of the features.
            place: What distinguishes modules of one run.
        """
        rank = distributed.get_rank() if _is_distributed() else 0
        # The seed of the run; of strings Python makes a seed by SHA-512.
        text = f'{torch.initial_seed()} {self.num_draws} {rank} {place}'
        seed = random.Random(text).getrandbits(63)
        if self.training:
            self.num_draws += 1
        return draw(shape, dtype, device, seed)

    def _save_to_state_dict(self, destination: Dict[str, Any], prefix: str,
                            keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f'{prefix}num_draws'] = torch.tensor(
            self.num_draws, device='cpu')

    def _load_from_state_dict(self, state_dict: Dict[str, Any], prefix: str,
                              local_metadata: Dict[str, Any], strict: bool,
                              missing_keys: List[str],
                              unexpected_keys: List[str],
                              error_msgs: List[str]) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata,
                                      strict, missing_keys, unexpected_keys,
                                      error_msgs)
        key = f'{prefix}num_draws'
        if key in state_dict:
            self.num_draws = int(state_dict[key])
            # Torch knows parameters and buffers only.
            if key in unexpected_keys:
                unexpected_keys.remove(key)
        elif strict:
            missing_keys.append(key)


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
