// Every export as something that can be drawn and called. The table is made from routines.def and the prototypes of include/wdk: a routine that
// is in the table and has no prototype does not compile, and nothing else is listed anywhere.
#pragma once
#include "tests/fuzz/shared.h"
#include "tests/fuzz/stock.h"

namespace kdpc::fuzz {

struct Export {
  const char* name;
  unsigned arguments;
  void (*draw)(Stock& stock, std::uint64_t* values);
  std::uint64_t (*call)(void (*routine)(), const std::uint64_t* values);
  void (*routine)();
  Kind first;   // what its first argument points to; Count: no object
  Kind result;  // what it returns a pointer to; Count: none
};

extern const Export kExports[wdk::kRoutineCount];

// What a void pointer among the arguments means to this routine; Count: anything.
Kind meaning_of_void(const char* name);
// And a pointer to a word; Words: a word.
Kind meaning_of_word(const char* name);

}  // namespace kdpc::fuzz
