// "Did you mean": which of the words there are is the one that was meant.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace kdpc::tool {

// How many letters have to be changed, added, removed or swapped with their neighbour.
std::size_t distance(std::string_view left, std::string_view right);

// The nearest word, or an empty one if none is near enough to be meant.
std::string_view nearest(std::string_view word, const std::vector<std::string>& words);

// "; did you mean 'slot'?", or else "; there are format, rate and slot".
std::string suggestion(std::string_view word, const std::vector<std::string>& words);

// "a, b and c"
std::string enumerated(const std::vector<std::string>& words);

}  // namespace kdpc::tool
