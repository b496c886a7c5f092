use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof as OracleProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use sha2::digest::Output;

use super::*;
use crate::edge::Edge;

fn leaf(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

/// A log and what serves it.
fn log(size: u64) -> (Tree, HashMap<Tile, Vec<u8>>) {
    let (mut edge, mut tiles) = (Edge::default(), Vec::new());
    (0..size).for_each(|n| edge.append(tlog_tiles::record_hash(&leaf(n)), &mut tiles));
    tiles.extend(edge.partial_tiles());
    (Tree { size, root: edge.root() }, tiles.into_iter().collect())
}

/// As a client does it: fetch what is missing, and ask again.
fn fetching<T>(
    files: &HashMap<Tile, Vec<u8>>,
    question: impl Fn(&TileSet) -> Result<T, ProofError>,
) -> Result<T, ProofError> {
    let mut held = TileSet::default();
    for _ in 0..4 {
        match question(&held) {
            Err(ProofError::Missing(tiles)) => {
                tiles.into_iter().for_each(|tile| held.add(tile, files[&tile].clone()));
            }
            answer => return answer,
        }
    }
    panic!("it never has enough")
}

fn oracle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut oracle = MemoryBackedTree::new();
    (0..size).for_each(|n| oracle.push(leaf(n)));
    oracle
}

fn root_of(tree: Tree) -> RootHash<Sha256> {
    RootHash::new(Output::<Sha256>::clone_from_slice(&tree.root.0), tree.size)
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn another_implementation_accepts_our_proofs(size in 1u64..1_200, place in any::<prop::sample::Index>()) {
        let index = place.index(usize::try_from(size).expect("fits")) as u64;
        let (tree, files) = log(size);
        let proof = fetching(&files, |tiles| tiles.inclusion(tree, index)).expect("a proof");
        let by_oracle = oracle(size).prove_inclusion(usize::try_from(index).expect("fits"));
        prop_assert_eq!(concat(&proof), by_oracle.as_bytes().to_vec());
        let theirs = OracleProof::<Sha256>::try_from_bytes(concat(&proof)).expect("a proof");
        prop_assert!(root_of(tree).verify_inclusion(&leaf(index), index, &theirs).is_ok());
        let hash = tlog_tiles::record_hash(&leaf(index));
        prop_assert_eq!(check_inclusion(tree, index, hash, &proof), Ok(()));
        prop_assert!(check_inclusion(tree, index, tlog_tiles::record_hash(b"other"), &proof).is_err());
        if size > 1 {
            prop_assert!(check_inclusion(tree, (index + 1) % size, hash, &proof).is_err());
            let mut altered = proof.clone();
            altered[place.index(proof.len())].0[0] ^= 1;
            prop_assert!(check_inclusion(tree, index, hash, &altered).is_err());
        }
    }

    #[test]
    fn another_implementation_accepts_that_we_only_grew(size in 2u64..1_200, place in any::<prop::sample::Index>()) {
        let from = 1 + place.index(usize::try_from(size - 1).expect("fits")) as u64;
        let ((newer, files), (older, _)) = (log(size), log(from));
        let proof = fetching(&files, |tiles| tiles.consistency(newer, from)).expect("a proof");
        let theirs = ConsistencyProof::<Sha256>::try_from_bytes(concat(&proof)).expect("a proof");
        prop_assert!(root_of(newer).verify_consistency(&root_of(older), &theirs).is_ok());
        prop_assert_eq!(check_consistency(older, newer, &proof), Ok(()));
        let forked = Tree { root: tlog_tiles::record_hash(b"fork"), ..older };
        prop_assert_eq!(check_consistency(forked, newer, &proof), Err(ProofError::Consistency));
        prop_assert_eq!(fetching(&files, |tiles| tiles.earlier_root(newer, from)), Ok(older.root));
    }

    #[test]
    fn an_altered_tile_proves_nothing_else(
        size in 1u64..3_000, place in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>()
    ) {
        let index = place.index(usize::try_from(size).expect("fits")) as u64;
        let (tree, mut files) = log(size);
        let mut touched = TileSet::default();
        let needed = loop {
            match touched.inclusion(tree, index) {
                Err(ProofError::Missing(tiles)) => tiles.into_iter().for_each(|tile| touched.add(tile, files[&tile].clone())),
                answer => { answer.expect("a proof"); break touched.held.keys().copied().collect::<Vec<_>>() }
            }
        };
        let genuine = touched.inclusion(tree, index).expect("a proof");
        for tile in needed {
            let bytes = files.get_mut(&tile).expect("a tile");
            let at = byte.index(bytes.len());
            bytes[at] ^= 1;
            let altered = fetching(&files, |tiles| tiles.inclusion(tree, index));
            prop_assert!(altered == Err(ProofError::Tiles) || altered.as_ref() == Ok(&genuine), "{tile}: {altered:?}");
            let grown = fetching(&files, |tiles| tiles.earlier_root(tree, index));
            prop_assert!(grown == Err(ProofError::Tiles) || grown == Ok(log(index).0.root), "{tile}: {grown:?}");
            files.get_mut(&tile).expect("a tile")[at] ^= 1;
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(c2sp.org/tlog-proof@v1\n)?(extra [a-z]*\n)?(index [0-9]{0,22}\n)?([A-Za-z0-9+/=]{0,50}\n){0,3}\n?.{0,30}") {
        if let Ok(proof) = InclusionProof::parse(&text) {
            prop_assert_eq!(InclusionProof::parse(&proof.to_text()), Ok(proof));
        }
    }
}

#[test]
fn a_proof_survives_its_text() {
    let (tree, files) = log(1_000);
    let hashes = fetching(&files, |tiles| tiles.inclusion(tree, 7)).expect("a proof");
    let proof = InclusionProof { index: 7, hashes, checkpoint: "a\n\n— b AAAA\n".to_owned() };
    let text = proof.to_text();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 7\n"));
    assert_eq!(InclusionProof::parse(&text), Ok(proof.clone()));
    let with_extra = text.replacen("index", "extra YQ==\nindex", 1);
    assert_eq!(InclusionProof::parse(&with_extra), Ok(proof));
    for bad in [
        text.replacen("index 7", "index 07", 1),
        text.replacen("@v1", "@v2", 1),
        text.replacen("\n\n", "\n", 9),
    ] {
        assert!(InclusionProof::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn questions_beside_the_tree_have_no_answer() {
    let (tree, _) = log(10);
    let none = TileSet::default();
    assert_eq!(none.inclusion(tree, 10), Err(ProofError::NoSuchLeaf { index: 10, size: 10 }));
    assert_eq!(none.consistency(tree, 11), Err(ProofError::Shrinks { from: 11, size: 10 }));
    let huge = Tree { size: u64::MAX, root: tree.root };
    assert!(none.inclusion(huge, 1).is_err() && none.consistency(huge, 1).is_err());
    assert!(check_inclusion(huge, 1, tree.root, &[]).is_err() && check_consistency(tree, huge, &[]).is_err());
    assert_eq!(check_consistency(tree, tree, &[]), Ok(()));
    assert_eq!(
        check_consistency(Tree { root: huge.root, ..tree }, Tree { root: Hash([1; 32]), ..tree }, &[]),
        Err(ProofError::Consistency)
    );
}
