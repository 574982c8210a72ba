"""Plain torch networks, each after the form of a known one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.zoo.entry import Entry, arrays, draw_weights, settle_norms, unmasked
from offramp.samples import Samples

__all__ = ["PLAIN"]

_image = partial(arrays, (3, 32, 32))


def _conv(inputs: int, outputs: int, size: int = 3, **options: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _answer(features: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10))


class Vgg(nn.Sequential):
    """A chain of convolutions, pooling and three linear layers."""

    def __init__(self) -> None:
        blocks = [_conv(3, 16), _conv(16, 16), nn.MaxPool2d(2), _conv(16, 32), _conv(32, 32)]
        head = [nn.MaxPool2d(4), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(True), nn.Dropout()]
        super().__init__(*blocks, *head, nn.Linear(64, 10))


class DenseNet(nn.Module):
    """Every layer reads all layers before it in its block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16, stride=2)
        self.first = nn.ModuleList(_conv(16 + 8 * at, 8) for at in range(4))
        self.second = nn.ModuleList(_conv(24 + 8 * at, 8) for at in range(4))
        self.transition = nn.Sequential(_conv(48, 24, 1), nn.AvgPool2d(2))
        self.answer = _answer(56)

    def forward(self, x: Tensor) -> Tensor:
        x = self._block(self.first, self.stem(x))
        return self.answer(self._block(self.second, self.transition(x)))

    def _block(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        values = [x]
        for layer in layers:
            values.append(layer(torch.cat(values, 1)))
        return torch.cat(values, 1)


class Inception(nn.Module):
    """Two blocks of four branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16, stride=2)
        self.blocks = nn.Sequential(_Branches(16), nn.MaxPool2d(2), _Branches(40), _conv(40, 48))
        self.answer = _answer(48)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.blocks(self.stem(x)))


class _Branches(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one = _conv(inputs, 8, 1)
        self.three = nn.Sequential(_conv(inputs, 8, 1), _conv(8, 16))
        self.five = nn.Sequential(_conv(inputs, 4, 1), _conv(4, 8, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(inputs, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class UNet(nn.Module):
    """Skip connections from the way down to the way up; answers with an image."""

    def __init__(self) -> None:
        super().__init__()
        widths = 12, 24, 48
        self.down = nn.ModuleList(map(_conv, (3, *widths[:-1]), widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, 2)
            for narrow, wide in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.join = nn.ModuleList(_conv(2 * width, width) for width in widths[-2::-1])
        self.mask = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for at, layer in enumerate(self.down):
            x = layer(functional.max_pool2d(x, 2) if at else x)
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([skips.pop(), up(x)], 1))
        return self.mask(x)


class Mixer(nn.Module):
    """MLP-Mixer: layers over patches and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, 4)
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(32), _feed(64), nn.LayerNorm(32), _feed(32)])
            for _ in range(3)
        )
        self.answer = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for norm_1, tokens, norm_2, channels in self.blocks:
            x = x + tokens(norm_1(x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(norm_2(x))
        return self.answer(x.mean(1))


def _feed(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class ShuffleNet(nn.Module):
    """Channels are split, one half is convolved, and both are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 24, stride=2)
        self.units = nn.ModuleList(
            nn.Sequential(_conv(12, 12, 1), _conv(12, 12, groups=12), _conv(12, 12, 1))
            for _ in range(4)
        )
        self.answer = _answer(24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for unit in self.units:
            left, right = x.chunk(2, dim=1)
            x = torch.cat([left, unit(right)], 1)
            batch, channels, height, width = x.shape
            x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2)
            x = x.reshape(batch, channels, height, width)
        return self.answer(x)


class SqueezeNet(nn.Module):
    """Fire modules: squeeze, then expand with two sizes of kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16, stride=2)
        self.squeeze = nn.ModuleList(_conv(width, 8, 1) for width in (16, 32, 32))
        self.one = nn.ModuleList(nn.Conv2d(8, 16, 1) for _ in range(3))
        self.three = nn.ModuleList(nn.Conv2d(8, 16, 3, padding=1) for _ in range(3))
        self.answer = _answer(32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for squeeze, one, three in zip(self.squeeze, self.one, self.three, strict=True):
            x = squeeze(x)
            x = functional.relu(torch.cat([one(x), three(x)], 1))
        return self.answer(x)


class SqueezeExcite(nn.Module):
    """Channels are weighed by what is seen of the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = _conv(3, 16, stride=2), _conv(16, 16)
        self.gate = nn.Sequential(nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())
        self.answer = _answer(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.conv(x)
        return self.answer(x + y * self.gate(y.mean((2, 3), keepdim=True)))


class Pyramid(nn.Module):
    """A feature pyramid with a head a level: several answers, none of them classes."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            [_conv(3, 16), _conv(16, 24, stride=2), _conv(24, 32, stride=2)]
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in (16, 24, 32))
        self.boxes, self.scores = nn.Conv2d(16, 4, 3, padding=1), nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        seen = []
        for level in self.levels:
            x = level(x)
            seen.append(x)
        merged = [self.lateral[-1](seen[-1])]
        for at in (1, 0):
            larger = functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
            merged.insert(0, self.lateral[at](seen[at]) + larger)
        return {"boxes": list(map(self.boxes, merged)), "scores": list(map(self.scores, merged))}


class Recurrent(nn.Module):
    """A bidirectional recurrent network over words; the last states answer."""

    def __init__(self, kind: Callable[..., nn.RNNBase]) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 16)
        self.layers = kind(16, 24, num_layers=2, batch_first=True, bidirectional=True)
        self.answer = nn.Linear(48, 10)

    def forward(self, input_ids: Tensor) -> Tensor:
        outputs, _ = self.layers(self.words(input_ids))
        return self.answer(outputs.mean(1))


class Encoder(nn.Module):
    """`nn.TransformerEncoder` over words, with a mask of what is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 32)
        self.places = nn.Parameter(torch.zeros(1, 32, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 3)
        self.answer = nn.Linear(32, 10)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.words(input_ids) + self.places
        return self.answer(self.layers(x, src_key_padding_mask=input_ids < 10).mean(1))


class Sequences(nn.Module):
    """`nn.Transformer`: an encoder and a decoder, two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Transformer(24, 4, 1, 1, 48, batch_first=True)
        self.answer = nn.Linear(24, 10)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.answer(self.net(source, target)[:, 0])


class Fusion(nn.Module):
    """An image and a table row are joined late."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(_conv(3, 16, stride=2), _conv(16, 24, stride=2))
        self.read = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 24))
        self.join = nn.Sequential(nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 10))

    def forward(self, image: Tensor, *, row: Tensor) -> Tensor:
        return self.join(torch.cat([self.see(image).mean((2, 3)), self.read(row)], 1))


class TwoTowers(nn.Module):
    """Two towers of unequal size; both embeddings and their likeness are answers."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(_conv(3, 16, stride=2), _conv(16, 32, stride=2), _answer(32))
        self.words = nn.EmbeddingBag(100, 10)

    def forward(self, image: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left = functional.normalize(self.image(image), dim=1)
        right = functional.normalize(self.words(words), dim=1)
        return left, right, (left * right).sum(1, keepdim=True)


class Windows(nn.Module):
    """Waves in overlapping windows, one-dimensional convolutions with gates (WaveNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 16, 16, 8)
        self.filters = nn.ModuleList(nn.Conv1d(16, 16, 2, dilation=2**at) for at in range(4))
        self.gates = nn.ModuleList(nn.Conv1d(16, 16, 2, dilation=2**at) for at in range(4))
        self.answer = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for at, (keep, gate) in enumerate(zip(self.filters, self.gates, strict=True)):
            y = functional.pad(x, (2**at, 0))
            x = x + torch.tanh(keep(y)) * torch.sigmoid(gate(y))
        return self.answer(x.mean(2))


class PointNet(nn.Module):
    """A set of points; the maximum over them, joined to each of them again."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU())
        self.joined = nn.Sequential(nn.Conv1d(64, 32, 1), nn.ReLU(), nn.Conv1d(32, 10, 1))

    def forward(self, points: Tensor) -> Tensor:
        x = self.each(points)
        whole = x.amax(2, keepdim=True).expand_as(x)
        return self.joined(torch.cat([x, whole], 1)).amax(2)


def _with_words() -> Samples:
    return Samples((*_image().inputs, *unmasked(8).inputs))


def _plain(
    name: str, make: Callable[[], nn.Module], samples: Callable[[], Samples] = _image
) -> Entry:
    def build() -> tuple[nn.Module, Samples]:
        torch.manual_seed(0)
        return settle_norms(draw_weights(make()), samples())

    return Entry(name, "plain", build)


PLAIN = [
    _plain("VGG", Vgg),
    _plain("DenseNet", DenseNet),
    _plain("Inception", Inception),
    _plain("U-Net", UNet),
    _plain("MLP-Mixer", Mixer),
    _plain("ShuffleNet", ShuffleNet),
    _plain("SqueezeNet", SqueezeNet),
    _plain("Squeeze-and-excite", SqueezeExcite),
    _plain("Feature pyramid", Pyramid),
    _plain("LSTM", partial(Recurrent, nn.LSTM), unmasked),
    _plain("GRU", partial(Recurrent, nn.GRU), unmasked),
    _plain("nn.TransformerEncoder", Encoder, unmasked),
    _plain("nn.Transformer", Sequences, partial(arrays, (16, 24), (8, 24))),
    _plain("Fusion", Fusion, partial(arrays, (3, 32, 32), (12,), names=("row",))),
    _plain("Two towers", TwoTowers, _with_words),
    _plain("WaveNet", Windows, partial(arrays, (1, 2000))),
    _plain("PointNet", PointNet, partial(arrays, (3, 128))),
]
