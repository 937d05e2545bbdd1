// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleTree} from "./MerkleTree.sol";

/// @notice A sealed package as it is sold: its chunks, the same under the cipher, and the leaves of both trees.
struct Package {
    bytes32 key;
    bytes[] plain;
    bytes[] chunks;
    bytes32[] leaves;
    bytes32[] cipherLeaves;
}

/// @notice What a recipient hands to `complain` beside the terms.
struct Complaint {
    bytes32 key;
    uint64 index;
    bytes chunk;
    bytes32[] chunkPath;
    bytes32 leaf;
    bytes32[] leafPath;
}

/// @notice Makes packages, and the proofs about them.
library Packages {
    uint256 internal constant CHUNK_SIZE = 1024;

    function make(bytes32 key, uint256 count) internal pure returns (Package memory package) {
        package.key = key;
        package.plain = new bytes[](count);
        package.chunks = new bytes[](count);
        for (uint64 i = 0; i < count; ++i) {
            package.plain[i] = noise(keccak256(abi.encode("plain", i)));
            package.chunks[i] = cipher(key, i, package.plain[i]);
        }
        package.leaves = leavesOf(package.plain);
        package.cipherLeaves = leavesOf(package.chunks);
    }

    /// @notice What an honest recipient would say about one chunk.
    function complaint(Package memory package, uint64 index) internal pure returns (Complaint memory) {
        return Complaint(
            package.key,
            index,
            package.chunks[index],
            MerkleTree.path(package.cipherLeaves, index),
            package.leaves[index],
            MerkleTree.path(package.leaves, index)
        );
    }

    function leavesOf(bytes[] memory chunks) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](chunks.length);
        for (uint64 i = 0; i < chunks.length; ++i) {
            leaves[i] = MerkleTree.leafHash(i, chunks[i]);
        }
    }

    /// @notice The root of a tree in which `hash` stands at `index` and `path` is its path.
    function rootAbove(bytes32 hash, uint256 index, bytes32[] memory path) internal pure returns (bytes32) {
        for (uint256 level = 0; level < path.length; ++level) {
            hash = index % 2 == 0 ? MerkleTree.nodeHash(hash, path[level]) : MerkleTree.nodeHash(path[level], hash);
            index /= 2;
        }
        return hash;
    }

    /// @notice The keystream in the words of the design, with nothing of `src/`.
    function cipher(bytes32 key, uint64 index, bytes memory chunk) internal pure returns (bytes memory out) {
        for (uint64 block_ = 0; block_ < CHUNK_SIZE / 32; ++block_) {
            out = bytes.concat(out, word(chunk, block_) ^ sha256(abi.encodePacked(key, index, block_)));
        }
    }

    /// @notice Some 1,024 bytes.
    function noise(bytes32 seed) internal pure returns (bytes memory out) {
        out = new bytes(CHUNK_SIZE);
        for (uint256 i = 32; i <= CHUNK_SIZE; i += 32) {
            seed = keccak256(abi.encode(seed));
            assembly ("memory-safe") {
                mstore(add(out, i), seed)
            }
        }
    }

    function word(bytes memory chunk, uint256 place) private pure returns (bytes32 out) {
        assembly ("memory-safe") {
            out := mload(add(chunk, mul(32, add(place, 1))))
        }
    }
}
