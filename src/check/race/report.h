// A race in words: what it is, why the two can meet, and what one usually does about it.
#pragma once
#include <string>
#include <string_view>

#include "check/race/race.h"

namespace kdpc::race {

const char* id_of(Kind kind);               // stable: what people look up
bool is_id(std::string_view id);            // of one of them
std::string sentence_of(const Race& race);  // what it is; addresses are written 0x…
std::string role_of(const Side& side);      // "writes 4 bytes at 0x…"
std::string locks_of(const Side& side);     // "spin lock 0x…"
std::string why_of(const Race& race);       // they can meet
const char* fix_of(const Race& race);       // the usual one

}  // namespace kdpc::race
