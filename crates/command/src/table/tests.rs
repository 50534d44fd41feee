use super::{Arity, Category, Flag, Group, KeyRange, lookup, specs};

#[test]
fn every_row_is_found_by_its_name_in_any_case() {
    for spec in specs() {
        assert_eq!(lookup(spec.name.as_bytes()), Some(spec), "{}", spec.name);
        assert_eq!(lookup(spec.name.to_uppercase().as_bytes()), Some(spec), "{}", spec.name);
    }
    for wrong in ["", "ge", "gets", "client|", "|id", "x".repeat(1000).as_str()] {
        assert_eq!(lookup(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn rows_are_consistent() {
    for (i, spec) in specs().iter().enumerate() {
        let name = spec.name;
        assert_eq!(spec.id.index(), i, "{name}");
        assert!(!(spec.is_write() && spec.is_readonly()), "{name} both writes and only reads");
        assert!(matches!(spec.arity, Arity::Exact(1..) | Arity::AtLeast(1..)), "{name}");
        assert!(spec.since.split('.').count() == 3, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b"|-_".contains(&b)), "{name}");
        assert_eq!(spec.served, !spec.summary.is_empty(), "{name}: a served row has words, a planned one has none");
        assert_eq!(spec.served, !spec.complexity.is_empty(), "{name}");
        if let Some(container) = spec.container {
            let container = &specs()[container.index()];
            assert!(container.subcommands().contains(spec), "{name}");
            let own = name.strip_prefix(container.name).and_then(|n| n.strip_prefix('|')).unwrap();
            assert_eq!(container.subcommand(own.to_uppercase().as_bytes()), Some(spec), "{name}");
            assert!(!spec.served || container.served, "{name} is served and its container is not");
        }
        for sub in spec.subcommands() {
            assert_eq!(sub.container, Some(spec.id), "{name}");
        }
    }
}

#[test]
fn facts_follow_from_the_rows() {
    let row = |name: &str| lookup(name.as_bytes()).unwrap();
    let range = |name| {
        let KeyRange { first, last, step } = row(name).key_range;
        (first, last, step)
    };
    assert_eq!(range("get"), (1, 1, 1));
    assert_eq!(range("rename"), (1, 2, 1));
    assert_eq!(range("mset"), (1, -1, 2));
    assert_eq!(range("blpop"), (1, -2, 1));
    assert_eq!(range("ping"), (0, 0, 0));
    assert_eq!(range("object|encoding"), (2, 2, 1));
    assert_eq!(range("sort"), (1, 1, 1));
    let movable: Vec<_> = specs().iter().filter(|s| s.flags.has(Flag::MovableKeys)).map(|s| s.name).collect();
    assert!(movable.contains(&"eval") && movable.contains(&"zunionstore") && movable.contains(&"xread"), "{movable:?}");
    assert!(!movable.contains(&"set") && !movable.contains(&"copy"), "{movable:?}");
    assert!(row("get").categories.has(Category::Read) && row("get").categories.has(Category::Fast));
    assert!(row("set").categories.has(Category::Write) && row("set").categories.has(Category::Slow));
    assert!(row("config|get").categories.has(Category::Dangerous));
    assert_eq!(row("zadd").group, Group::SortedSet);
}
