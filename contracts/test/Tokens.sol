// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token as one would have it.
contract Token is ERC20("Token", "TKN") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice A token that keeps one percent of every transfer, once it is told to.
contract FeeToken is Token {
    bool public takesFee;

    function setFee(bool on) external {
        takesFee = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (takesFee && from != address(0) && to != address(0)) {
            super._update(from, address(0xFEE), amount / 100);
            amount -= amount / 100;
        }
        super._update(from, to, amount);
    }
}

/// @notice A token that refuses whom it has on a list, as those of some issuers do.
contract BlockingToken is Token {
    error Blocked(address account);

    mapping(address account => bool) public isBlocked;

    function setBlocked(address account, bool on) external {
        isBlocked[account] = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (isBlocked[to]) revert Blocked(to);
        super._update(from, to, amount);
    }
}

interface ITransferHook {
    function transferred(address from, address to, uint256 amount) external;
}

/// @notice A token that tells sender and receiver of a transfer while it happens, as ERC-777 does.
contract HookToken is Token {
    mapping(address account => bool) public hooked;

    function setHook(bool on) external {
        hooked[msg.sender] = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (hooked[from]) ITransferHook(from).transferred(from, to, amount);
        super._update(from, to, amount);
        if (hooked[to]) ITransferHook(to).transferred(from, to, amount);
    }
}

/// @notice A token whose transfers return nothing, as those of some that were written before the standard was settled.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address holder => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice A token that says no instead of reverting.
contract FalseToken is Token {
    bool public refuses;

    function setRefusing(bool on) external {
        refuses = on;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !refuses && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !refuses && super.transferFrom(from, to, amount);
    }
}
