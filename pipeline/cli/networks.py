"""`unetworks networks`: the family with its counts and costs, one network's options, a drawing."""

import argparse


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", help="show one network's options")
    parser.add_argument("--draw", metavar="FILE.png", help="draw the network's wiring")
    parser.add_argument(
        "--spatial_dims", type=int, default=2, help="2 or 3, for the drawing (default: 2)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the networks, or one network's source and options; or draw it.

    Raises:
        InvalidValueError: A drawing without a network.
        UnknownNameError: No such network.
    """
    from pipeline.errors import InvalidValueError
    from pipeline.networks.costs import read_costs
    from pipeline.networks.table import row_of

    if args.name is None:
        if args.draw is not None:
            raise InvalidValueError(
                "--draw without a network",
                hint=f"name one, as: unetworks networks unetpp --draw {args.draw}",
            )
        _print_family()
    elif args.draw is not None:
        _draw(args.name, args.spatial_dims, args.draw)
    else:
        print(f"{args.name}: {row_of(args.name).source}")
        print(f"options: {', '.join(read_costs()[args.name]['full'][0].facts.options)}")
    return 0


def _print_family() -> None:
    """One line a network."""
    from pipeline.networks import NETWORKS
    from pipeline.networks.costs import STANDARD, UNPADDED, read_costs

    costs = read_costs()
    heads = ["name", "2D", "3D", "G 2D", "G 3D", "GiB 2D", "GiB 3D", "divisor", "source"]
    rows = [heads]
    for name, row in NETWORKS.items():
        two, three = costs[name]["full"]
        divisors = list(dict.fromkeys(str(max(cost.facts.divisor)) for cost in (two, three)))
        rows.append(
            [
                name,
                *(f"{number:,}" for number in row.parameters),
                *(f"{cost.multiply_adds / 1e9:,.1f}" for cost in (two, three)),
                *(f"{cost.activation_bytes / 2**30:.2f}" for cost in (two, three)),
                "/".join(divisors),
                row.source,
            ]
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(heads))]
    for cells in rows:
        first, *numbers, last = cells
        middle = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        print("  ".join([first.ljust(widths[0]), *middle, last]))
    flat, deep = (_product(size) for size in STANDARD)
    print(
        "\nparameters; G: giga multiply-adds and GiB: activations kept for one training step of\n"
        f"one case at {flat} and {deep}, counted in single precision; divisor 2D/3D, one where "
        "equal."
    )
    for name, sizes in UNPADDED.items():
        print(f"{name} is unpadded: {' and '.join(map(_product, sizes))} instead.")


def _product(size: tuple[int, ...]) -> str:
    """Write a size as `96x96x96`."""
    return "x".join(map(str, size))


def _draw(name: str, spatial_dims: int, path: str) -> None:
    """Draw a network with default options."""
    from pipeline.errors import InvalidValueError
    from pipeline.figures.wiring import draw_wiring
    from pipeline.networks import NETWORKS
    from pipeline.networks.costs import build_without_storage
    from pipeline.networks.wiring import network_wiring

    if not path.lower().endswith(".png"):
        raise InvalidValueError(f"--draw {path} is no PNG", hint=f"write --draw {name}.png")
    network = build_without_storage(name, spatial_dims)
    title = f"{name}: {NETWORKS[name].source}, {spatial_dims}D"
    print(draw_wiring(network_wiring(network), path, title))
