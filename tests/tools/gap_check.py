#!/usr/bin/env python3
"""Finds the gaps in what was played, from two files only: the source and the recording of what came out of the card.

The source is cut into blocks as long as one of the player's buffers. Each block that is not silent is looked for in the recording. Where two
neighbouring blocks have moved apart, there is a gap; a block that is nowhere is damaged. Knows nothing of kdpc.

    gap_check.py SOURCE.wav PLAYED.wav [--period FRAMES]      one line per gap: source frame, length in frames
"""
import argparse
import struct
import sys
import wave

FRAME = 4  # two samples of 16 bits


def frames_of(path):
    """Bytes of 16-bit stereo frames; one channel is taken for both."""
    with wave.open(path, "rb") as file:
        if file.getsampwidth() != 2 or file.getnchannels() not in (1, 2):
            raise ValueError(f"{path}: 16 bits and one or two channels are understood")
        data = file.readframes(file.getnframes())
        if file.getnchannels() == 2:
            return data, file.getframerate()
        samples = struct.unpack(f"<{len(data) // 2}h", data)
        return b"".join(struct.pack("<hh", sample, sample) for sample in samples), file.getframerate()


def find_frame(played, block, begin):
    """The first place of the block at or after a frame; -1: nowhere."""
    at = played.find(block, begin * FRAME)
    while at % FRAME != 0 and at != -1:
        at = played.find(block, at + 1)
    return -1 if at == -1 else at // FRAME


class Result:
    def __init__(self):
        self.startup = None   # frames before the source begins
        self.gaps = []        # (source frame, frames)
        self.damaged = []     # source frames of blocks that are nowhere
        self.rate = 0

    @property
    def total(self):
        return sum(length for _, length in self.gaps)


def check(source_path, played_path, period):
    source, rate = frames_of(source_path)
    played, played_rate = frames_of(played_path)
    if rate != played_rate:
        raise ValueError(f"{rate} frames a second in the source, {played_rate} in what was played")
    result = Result()
    result.rate = rate
    shift = 0             # how much later than in the source the last block was
    boundary = 0          # the first frame at which the next gap could begin: after the last block that was found
    for begin in range(0, len(source) // FRAME, period):
        block = source[begin * FRAME:(begin + period) * FRAME]
        if not any(block):
            continue      # silence is everywhere
        at = find_frame(played, block, begin + shift)
        if at == -1:
            result.damaged.append(begin)
            continue
        moved = at - begin - shift
        if result.startup is None:
            result.startup = moved
        elif moved > 0:
            result.gaps.append((begin, moved))
        shift += moved
        boundary = begin + period
    if boundary == 0:
        result.damaged.append(0)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("played")
    parser.add_argument("--period", type=int, default=480)
    arguments = parser.parse_args()
    result = check(arguments.source, arguments.played, arguments.period)
    for frame, length in result.gaps:
        print(frame, length)
    for frame in result.damaged:
        print(f"damaged: the block at source frame {frame} was not played as it is", file=sys.stderr)
    return 1 if result.gaps or result.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
