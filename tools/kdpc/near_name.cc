#include "tools/kdpc/near_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace kdpc::tool {

std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::vector<std::size_t>> table(left.size() + 1, std::vector<std::size_t>(right.size() + 1));
  for (std::size_t i = 0; i <= left.size(); ++i) table[i][0] = i;
  for (std::size_t j = 0; j <= right.size(); ++j) table[0][j] = j;
  const auto letter = [](char character) { return std::tolower(static_cast<unsigned char>(character)); };
  for (std::size_t i = 1; i <= left.size(); ++i) {
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const bool same = letter(left[i - 1]) == letter(right[j - 1]);
      table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && letter(left[i - 1]) == letter(right[j - 2]) && letter(left[i - 2]) == letter(right[j - 1]))
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  }
  return table[left.size()][right.size()];
}

std::string_view nearest(std::string_view word, const std::vector<std::string>& words) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : words) {
    const bool continues = word.size() >= 3 && candidate.starts_with(word);  // period: period_ms
    const std::size_t changes = continues ? 1 : distance(word, candidate);
    if (changes >= least) continue;
    least = changes;
    best = candidate;
  }
  return best;
}

std::string enumerated(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += fmt::format("{}{}", i == 0 ? "" : i + 1 == words.size() ? " and " : ", ", words[i]);
  return text;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& words) {
  if (words.empty()) return "";
  if (const std::string_view near = nearest(word, words); !near.empty()) return fmt::format("; did you mean '{}'?", near);
  return fmt::format("; there {} {}", words.size() == 1 ? "is" : "are", enumerated(words));
}

}  // namespace kdpc::tool
