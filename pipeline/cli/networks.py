"""`unetworks networks`: the table, with the counts that the tests compare."""

import argparse


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", help="show one network's options")


def run(args: argparse.Namespace) -> int:
    """Print the networks, or one network's source and options."""
    from pipeline.networks import NETWORKS, network_options

    if args.name is not None:
        options = network_options(args.name)
        print(f"{args.name}: {NETWORKS[args.name].source}")
        print(f"options: {', '.join(options)}")
        return 0
    width = max(len(name) for name in NETWORKS)
    print(f"{'name'.ljust(width)}  {'2D':>12}  {'3D':>12}  source")
    for name, row in NETWORKS.items():
        two, three = (f"{n:,}" for n in row.parameters)
        print(f"{name.ljust(width)}  {two:>12}  {three:>12}  {row.source}")
    return 0
