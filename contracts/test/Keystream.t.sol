// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {Keystream} from "../src/Keystream.sol";

/// @dev The library takes its chunk from calldata, so it is called from outside.
contract KeystreamCaller {
    function cipher(bytes32 key, uint64 index, bytes calldata chunk) external pure returns (bytes memory) {
        return Keystream.cipher(key, index, chunk);
    }

    function chunkSize() external pure returns (uint256) {
        return Keystream.CHUNK_SIZE;
    }
}

contract KeystreamTest is Test {
    KeystreamCaller private immutable caller = new KeystreamCaller();

    // --- The file that the Python twin is held to as well ---

    function test_EveryChunkOfTheVectorsIsCipheredAndDeciphered() public view {
        string memory json = vm.readFile("test/vectors.json");
        uint256 number = 0;
        for (string memory entry = ".keystream[0]"; vm.keyExistsJson(json, entry); entry = _key(++number)) {
            bytes32 key = vm.parseJsonBytes32(json, string.concat(entry, ".key"));
            uint64 index = uint64(vm.parseJsonUint(json, string.concat(entry, ".index")));
            bytes memory plain = vm.parseJsonBytes(json, string.concat(entry, ".plain"));
            bytes memory ciphered = vm.parseJsonBytes(json, string.concat(entry, ".cipher"));
            assertEq(caller.cipher(key, index, plain), ciphered);
            assertEq(caller.cipher(key, index, ciphered), plain);
        }
        assertGt(number, 3);
    }

    // --- The keystream ---

    function test_AChunkHasAThousandAndTwentyFourBytes() public view {
        assertEq(caller.chunkSize(), 1024);
    }

    function testFuzz_ABlockIsTheHashOfKeyChunkAndBlock(bytes32 key, uint64 index, uint256 seed, uint64 block_)
        public
        view
    {
        block_ = uint64(bound(block_, 0, 31));
        bytes memory plain = _chunk(seed);
        bytes32 stream = sha256(bytes.concat(key, bytes8(index), bytes8(block_)));
        bytes memory ciphered = caller.cipher(key, index, plain);
        assertEq(_block(ciphered, block_), _block(plain, block_) ^ stream);
    }

    function testFuzz_TheCipherIsItsOwnInverse(bytes32 key, uint64 index, uint256 seed) public view {
        bytes memory plain = _chunk(seed);
        bytes memory ciphered = caller.cipher(key, index, plain);
        assertEq(ciphered.length, 1024);
        assertEq(caller.cipher(key, index, ciphered), plain);
    }

    function testFuzz_NoTwoChunksShareABlockOfTheKeystream(bytes32 key, uint64 index, uint64 other) public view {
        vm.assume(index != other);
        bytes memory stream = caller.cipher(key, index, new bytes(1024));
        bytes memory another = caller.cipher(key, other, new bytes(1024));
        for (uint256 i = 0; i < 32; ++i) {
            assertNotEq(_block(stream, i), _block(another, i));
            // Nor does a block come again within a chunk.
            assertNotEq(_block(stream, i), _block(stream, (i + 1) % 32));
        }
    }

    // --- Attacks ---

    function testFuzz_AnotherKeyGivesNothingOfAChunk(bytes32 key, bytes32 other, uint64 index, uint256 seed)
        public
        view
    {
        vm.assume(key != other);
        bytes memory plain = _chunk(seed);
        bytes memory wrong = caller.cipher(other, index, caller.cipher(key, index, plain));
        for (uint256 i = 0; i < 32; ++i) {
            assertNotEq(_block(wrong, i), _block(plain, i));
        }
    }

    function testFuzz_AShortChunkIsRefused(bytes32 key, uint64 index, uint256 length) public {
        length = bound(length, 0, 1023);
        vm.expectRevert();
        caller.cipher(key, index, new bytes(length));
    }

    // --- Parts ---

    /// @return chunk 1,024 bytes without order.
    function _chunk(uint256 seed) private pure returns (bytes memory chunk) {
        for (uint256 i = 0; i < 32; ++i) {
            chunk = bytes.concat(chunk, keccak256(abi.encode(seed, i)));
        }
    }

    function _block(bytes memory chunk, uint256 position) private pure returns (bytes32 block_) {
        assembly ("memory-safe") {
            block_ := mload(add(chunk, mul(32, add(position, 1))))
        }
    }

    function _key(uint256 number) private pure returns (string memory) {
        return string.concat(".keystream[", vm.toString(number), "]");
    }
}
