// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITransferHook} from "./Tokens.sol";

/// @notice An account that is a contract: whoever tests has it call what they like.
abstract contract Wallet {
    function call(address to, uint256 value, bytes calldata data) external returns (bytes memory) {
        (bool success, bytes memory result) = to.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
        return result;
    }
}

/// @notice A wallet that takes no money until it is told to.
contract RefusingWallet is Wallet {
    error Refused();

    bool public takes;

    function setTaking(bool on) external {
        takes = on;
    }

    receive() external payable {
        if (!takes) revert Refused();
    }
}

/// @notice A wallet that burns all gas it is given.
contract BurningWallet is Wallet {
    receive() external payable {
        assembly {
            invalid()
        }
    }
}

/// @notice A wallet that answers with as many zeros as its gas allows, for the payer to copy at its own cost.
contract BombingWallet is Wallet {
    uint256 public immutable SIZE;
    bool public immutable REVERTS;

    constructor(uint256 size, bool reverts) {
        SIZE = size;
        REVERTS = reverts;
    }

    receive() external payable {
        uint256 size = SIZE;
        if (REVERTS) {
            assembly {
                revert(0, size)
            }
        }
        assembly {
            return(0, size)
        }
    }
}

/// @notice A wallet that notes what it is paid in so many slots, and fails where it is given too little gas for it.
contract WorkingWallet is Wallet {
    uint256 public immutable SLOTS;
    uint256[] public notes;

    constructor(uint256 slots) {
        SLOTS = slots;
    }

    receive() external payable {
        for (uint256 i = 0; i < SLOTS; ++i) {
            notes.push(msg.value);
        }
    }
}

/// @notice A wallet that calls back while it is paid, in coin or in a token that tells it, and notes how it went.
contract ReentrantWallet is Wallet, ITransferHook {
    address public target;
    bytes public callback;
    bool public insists;
    uint256 public attempts;
    bool public succeeded;
    bytes public result;

    /// @param insistent Whether it refuses the money where its call back fails.
    function plan(address target_, bytes calldata callback_, bool insistent) external {
        target = target_;
        callback = callback_;
        insists = insistent;
    }

    receive() external payable {
        _callBack();
    }

    function transferred(address, address, uint256) external {
        _callBack();
    }

    function _callBack() private {
        if (target == address(0)) return;
        address to = target;
        target = address(0);
        ++attempts;
        (succeeded, result) = to.call(callback);
        require(succeeded || !insists, "insisted");
    }
}

/// @notice Forces coin on an account that does not take any.
contract ForcedEther {
    constructor(address payable victim) payable {
        selfdestruct(victim);
    }
}
