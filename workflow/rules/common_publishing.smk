# The files of figures as outputs of rules.


def drawings(*kinds):
    """The files of figures that one job draws, since it costs more to start a renderer than to draw one."""
    files = {}
    for kind in kinds:
        files |= {f"{kind}_{ending}": paths.figure(kind, ending=ending) for ending in ("pdf", "html")}
        files[f"{kind}_svg"] = report(
            paths.figure(kind),
            caption=f"../report/{kind}.rst",
            category="Figures",
            subcategory=kind,
            labels={"model": "{model}", "method": "{method}"},
        )
    return files
