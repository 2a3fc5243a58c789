// A race in words: what it is, why the two can meet, and what one usually does about it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "check/race/race.h"

namespace kdpc::race {

// Who gives names to addresses.
struct Names {
  std::function<std::string(std::uintptr_t)> code;  // of a return address, or a routine
  std::function<std::string(std::uintptr_t)> data;
};

const char* id_of(Kind kind);               // stable: what people look up
std::string sentence_of(const Race& race);  // what it is; addresses are written 0x…
std::string role_of(const Side& side);      // "writes 4 bytes at 0x…"
std::string why_of(const Race& race);       // they can meet
const char* fix_of(const Race& race);       // the usual one
std::vector<std::string> lines_of(const Race& race, const Names& names);

}  // namespace kdpc::race
