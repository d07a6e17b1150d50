"""Write the embedded digits detection set (real digits, no download).

    python tools/dataset_tools/make_digits.py [--out data/digits]
"""
import argparse
import sys

from mmdeepkd.datasets import make_digits_detection


def show_progress(done: int, total: int) -> None:
    """Print one line per 150 scenes, and the last."""
    if done % 150 == 0 or done == total:
        print(f'digits: {done}/{total} scenes', flush=True)


def main() -> None:
    """Parse the options and write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', default='data/digits', help='folder to write')
    parser.add_argument('--num-train', type=int, default=600)
    parser.add_argument('--num-val', type=int, default=150)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    try:
        written = make_digits_detection(args.out, args.num_train, args.num_val,
                                        args.seed, show_progress)
    except (OSError, ValueError) as error:
        sys.exit(f'make_digits: {error}')
    print(f'digits: {args.out} is {"written" if written else "up to date"}')


if __name__ == '__main__':
    main()
