// What happened, in order: code inside tells a word, and the test reads the sentence.
#pragma once
#include <string>
#include <string_view>

namespace kdpc::test {

inline std::string told;

// Its room is reserved before the machine runs.
inline void forget_told() {
  told.clear();
  told.reserve(4096);
}
inline void tell(std::string_view what) { (told += what) += ' '; }

}  // namespace kdpc::test
