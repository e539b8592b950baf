"""MS-VAE's training in the obvious way, a video at a time, from the released facts.

Two VAEs that share a decoder, an Adam for each of them that owns its encoder and the
decoder, a forward pass for each direction. The tests hold the lesson's step to this
one, and the benchmark measures against it.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Video = tuple[Tensor, Tensor]


class PlainVAE(nn.Module):
    """One modality's encoder and the decoder, taken from the lesson's model."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        linear = [m for m in self.encoder.body if isinstance(m, nn.Linear)]
        for i, layer in enumerate(linear):
            x = layer(x)
            if i < len(linear) - 1:
                x = F.relu(x)
        weight, bias = self.encoder.heads.weight, self.encoder.heads.bias
        return F.linear(x, weight[:100], bias[:100]), F.linear(
            x, weight[100:], bias[100:]
        )

    def sample(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        return mu + torch.exp(0.5 * logvar) * noise

    def loss(self, x: Tensor, pair: Tensor, noise: Tensor, weight: float) -> Tensor:
        mu, logvar = self.encode(x)
        made = self.decoder(self.sample(mu, logvar, noise))
        kl = -0.5 * torch.sum(1 + logvar - mu**2 - torch.exp(logvar))
        return F.mse_loss(made, pair) + weight * kl


class PlainLoop:
    """The released code's iteration on a copy of the lesson's model."""

    def __init__(self, model: nn.Module, rate: float, latent: bool = True) -> None:
        self.model, self.latent = copy.deepcopy(model), latent
        decoders = list(self.model.decoders.values())
        self.visual = PlainVAE(self.model.encoders["visual"], decoders[0])
        self.audio = PlainVAE(self.model.encoders["audio"], decoders[-1])
        self.adams = [
            torch.optim.Adam(vae.parameters(), lr=rate)
            for vae in (self.visual, self.audio)
        ]

    def step(self, video: Video, noise: Tensor, weight: float) -> float:
        """noise (3, 2, n, 100): of the decoder's draws, of W's in either direction."""
        x_v, x_a = video
        pair = torch.cat([x_v, x_a], dim=1)
        loss = self.visual.loss(x_v, pair, noise[0, 0], weight)
        loss = loss + self.audio.loss(x_a, pair, noise[0, 1], weight)
        if self.latent:
            mu_v, logvar_v = self.visual.encode(x_v)
            mu_a, logvar_a = self.audio.encode(x_a)
            for direction in (1, 2):
                z_v = self.visual.sample(mu_v, logvar_v, noise[direction, 0])
                z_a = self.audio.sample(mu_a, logvar_a, noise[direction, 1])
                loss = loss + torch.sqrt(((z_a - z_v) ** 2).sum())
        for adam in self.adams:
            adam.zero_grad()
        loss.backward()
        for adam in self.adams:
            adam.step()
        return float(loss.detach())

    def epoch(
        self, videos: Sequence[Video], noise: Callable[[int], Tensor], weight: float
    ) -> None:
        """Every video once, in their order; `noise` gives (3, 2, n, 100) for n."""
        for video in videos:
            self.step(video, noise(len(video[0])), weight)
