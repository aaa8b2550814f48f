"""Archives: the same files give the same bytes."""

import os
import random
import shutil
import subprocess
import tarfile

import pytest
import zstandard

from corral.errors import CorralError
from corral.releases.archive import Packed, pack, sha256, without_npm_bookkeeping

FILES = {
    "package.json": b'{"name": "x"}',
    "server/main.js": b"// starts\n" * 5000,
    "dist/assets/index-Ab12.js": os.urandom(300_000),
    "dist/a name with spaces and \xfc.txt": b"umlaut",
    "node_modules/.package-lock.json": b"npm's own",
    "node_modules/.bin/thing": b"npm's own",
    "node_modules/thing/.hidden-but-the-package-s": b"kept",
    "node_modules/thing/" + "long/" * 40 + "name.js": b"deep",
}


def make_tree(root, seed, mode):
    """The same tree, made in another order, with other times and group and other bits."""
    order = list(FILES)
    random.Random(seed).shuffle(order)
    old = os.umask(0o777 & ~mode)
    try:
        for name in order:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(FILES[name])
            os.utime(path, (seed * 1000, seed * 1000))
        (root / "server/main.js").chmod(0o700 if seed % 2 else 0o755)
        (root / "node_modules/thing/link.js").symlink_to("../../server/main.js")
        os.link(root / "package.json", root / "hard.json") if seed % 2 else shutil.copy(
            root / "package.json", root / "hard.json"
        )
    finally:
        os.umask(old)
    return root


def listed(archive):
    with archive.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
        return {
            m.name: (m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname, m.linkname)
            for m in tarfile.open(fileobj=plain, mode="r|")
        }


@pytest.mark.parametrize("kind", ["zst", "gz"])
def test_the_same_files_give_the_same_bytes(tmp_path, kind):
    first, second = tmp_path / f"one.tar.{kind}", tmp_path / f"another.tar.{kind}"
    one = pack(make_tree(tmp_path / "one", 1, 0o700), first, without_npm_bookkeeping)
    two = pack(make_tree(tmp_path / "two", 2, 0o777), second, without_npm_bookkeeping)
    assert one == two
    assert first.read_bytes() == second.read_bytes()
    assert one == Packed(sha256(first), first.stat().st_size, len(FILES) - 2 + 2)


def test_this_machine_compresses_as_others_do(tmp_path):
    """zlib is of the machine, where zstandard is pinned: one that packs in another way shows here."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/text").write_text("".join(f"{n * n % 977} sheep\n" for n in range(50_000)))
    packed = pack(tmp_path / "tree", tmp_path / "a.tar.gz")
    assert packed.sha256 == "b6043bedbcace110969b946c5dc760189b598368fdcb21d9b52bf795d895a83c"


def test_another_byte_gives_another_sum(tmp_path):
    one = pack(make_tree(tmp_path / "tree", 1, 0o755), tmp_path / "one.tar.zst")
    (tmp_path / "tree/package.json").write_bytes(b'{"name": "y"}')
    assert pack(tmp_path / "tree", tmp_path / "two.tar.zst").sha256 != one.sha256


def test_members_are_sorted_and_anonymous(tmp_path):
    tree = make_tree(tmp_path / "tree", 3, 0o700)
    pack(tree, tmp_path / "a.tar.zst", without_npm_bookkeeping)
    members = listed(tmp_path / "a.tar.zst")
    assert list(members)[:4] == ["dist", "dist/a name with spaces and \xfc.txt", "dist/assets",
                                 "dist/assets/index-Ab12.js"]  # fmt: skip
    assert members["server/main.js"] == (0o755, 0, 0, 0, "", "", "")
    assert members["package.json"] == (0o644, 0, 0, 0, "", "", "")
    assert members["node_modules/thing/link.js"] == (0o777, 0, 0, 0, "", "", "../../server/main.js")
    assert "node_modules/thing/.hidden-but-the-package-s" in members
    assert not [name for name in members if name.startswith(("node_modules/.bin", "node_modules/.package"))]


def test_the_tar_of_a_host_unpacks_it(tmp_path):
    tree = make_tree(tmp_path / "tree", 1, 0o755)
    pack(tree, tmp_path / "a.tar.zst")
    plain = zstandard.ZstdDecompressor().stream_reader((tmp_path / "a.tar.zst").read_bytes()).readall()
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-x", "-C", out], input=plain, check=True)
    subprocess.run(["diff", "-r", tree, out], check=True)


def test_a_host_without_zstd_unpacks_a_gzip(tmp_path):
    tree = make_tree(tmp_path / "tree", 1, 0o755)
    pack(tree, tmp_path / "a.tar.gz")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "a.tar.gz", "-C", tmp_path / "out"], check=True)
    subprocess.run(["diff", "-r", tree, tmp_path / "out"], check=True)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside"])
def test_a_link_that_leaves_the_tree_is_refused_and_nothing_stands_there(tmp_path, target):
    tree = make_tree(tmp_path / "tree", 1, 0o755)
    (tree / "server/escape").symlink_to(target)
    with pytest.raises(CorralError, match="outside of what is packed"):
        pack(tree, tmp_path / "a.tar.zst")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tree"]


def test_a_socket_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out").mkdir()
    with pytest.raises(CorralError, match="neither a file"):
        pack(tmp_path, tmp_path / "out/a.tar.zst")


def test_packing_that_dies_leaves_what_was_there(tmp_path):
    tree = make_tree(tmp_path / "tree", 1, 0o755)
    done = pack(tree, tmp_path / "a.tar.zst")

    def dies(path):
        if path.name == "server":
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        pack(tree, tmp_path / "a.tar.zst", dies)
    assert sha256(tmp_path / "a.tar.zst") == done.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.zst", "tree"]
