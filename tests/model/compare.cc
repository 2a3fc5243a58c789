#include "tests/model/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/model/kernel_run.h"
#include "tests/model/model.h"

namespace kdpc::model {

namespace {

constexpr std::size_t kShown = 20;  // steps before the one that differs

struct Both {
  KernelRun kernel;
  std::vector<Step> model;
  std::size_t alike = 0;
  bool equal() const { return kernel.ended.empty() && alike == kernel.steps.size() && alike == model.size(); }
};

Both run_both(const Program& program, std::size_t limit) {
  Both both;
  both.kernel = run_kernel(program, limit);
  if (both.kernel.beginning.processors.empty()) return both;  // it never began
  Model model(program, both.kernel.beginning);
  model.run(limit);
  both.model = std::move(model.steps);
  const auto [kernels, models] = std::mismatch(both.kernel.steps.begin(), both.kernel.steps.end(), both.model.begin(), both.model.end());
  both.alike = static_cast<std::size_t>(kernels - both.kernel.steps.begin());
  return both;
}

std::string text_of(const Step& step, const Program& program) {
  const std::string what = step.index == kBegins ? "begins" : text_of(program.scripts[step.script][step.index], program);
  return fmt::format("{:14.4f} ms  p{} irql {:<2}  {}: {} -> {:#x}", static_cast<double>(step.time) / 1e6, step.processor, step.irql,
                     program.script_name(step.script), what, static_cast<std::uint64_t>(step.result));
}

std::string step_or_nothing(const std::vector<Step>& steps, std::size_t number, const Program& program) {
  return number < steps.size() ? text_of(steps[number], program) : "nothing more";
}

std::string differences(const std::vector<Observed>& kernel, const std::vector<Observed>& model) {
  std::string text;
  std::size_t k = 0, m = 0;
  const auto line = [&](const char* who, const Observed& item) {
    text += fmt::format("  {} {} of {}: {:#x}\n", who, item.what, item.whose, item.value);
  };
  const auto same_place = [](const Observed& a, const Observed& b) { return std::string_view(a.what) == b.what && a.whose == b.whose; };
  while (k < kernel.size() && m < model.size()) {
    if (same_place(kernel[k], model[m])) {
      if (kernel[k].value != model[m].value) {
        line("kernel:", kernel[k]);
        line("model: ", model[m]);
      }
      ++k, ++m;
      continue;
    }
    // One of the lists is longer here.
    const bool model_has_more =
        std::any_of(model.begin() + static_cast<std::ptrdiff_t>(m), model.end(), [&](const Observed& o) { return same_place(kernel[k], o); });
    if (model_has_more) {
      line("only the model:  ", model[m++]);
    } else {
      line("only the kernel: ", kernel[k++]);
    }
  }
  while (k < kernel.size()) line("only the kernel: ", kernel[k++]);
  while (m < model.size()) line("only the model:  ", model[m++]);
  return text;
}

}  // namespace

Comparison compare(const Program& program, std::size_t limit) {
  const Both both = run_both(program, limit);
  Comparison result;
  result.steps = both.alike;
  for (std::size_t i = 0; i < both.alike; ++i) {
    const Step& step = both.kernel.steps[i];
    if (step.index == kBegins) {
      ++result.routines;
    } else {
      ++result.performed[static_cast<std::size_t>(program.scripts[step.script][step.index].kind)];
    }
  }
  result.equal = both.equal();
  return result;
}

Program shrink(const Program& whole, std::size_t limit) {
  Program best = whole;
  const auto fails = [&](const Program& program) { return !compare(program, limit).equal; };
  // What was never reached is not needed.
  {
    const Both both = run_both(best, limit);
    limit = std::min(limit, both.alike + 1);
    std::vector<std::size_t> used(best.scripts.size(), 0);
    for (const auto* steps : {&both.kernel.steps, &both.model})
      for (std::size_t i = 0; i < std::min(steps->size(), both.alike + 1); ++i)
        if (const Step& step = (*steps)[i]; step.index != kBegins) used[step.script] = std::max<std::size_t>(used[step.script], step.index + 1);
    Program cut = best;
    for (std::size_t i = 0; i < used.size(); ++i)
      if (cut.scripts[i].size() > used[i] + 8) cut.scripts[i].resize(used[i] + 8);
    if (fails(cut)) best = cut;
  }
  for (bool again = true; again;) {
    again = false;
    for (std::size_t script = 0; script < best.scripts.size(); ++script) {
      for (std::size_t length = std::max<std::size_t>(best.scripts[script].size(), 1); length > 0; length /= 2) {
        for (std::size_t from = 0; from < best.scripts[script].size();) {
          Program smaller = best;
          auto& operations = smaller.scripts[script];
          const std::size_t to = std::min(from + length, operations.size());
          operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(from), operations.begin() + static_cast<std::ptrdiff_t>(to));
          if (fails(smaller)) {
            best = std::move(smaller);
            again = true;
          } else {
            from += length;
          }
        }
      }
    }
  }
  for (const auto& [name, value] : whole.settings) {
    (void)value;
    Program simpler = best;
    simpler.settings.erase(name);
    if (name == "dpc_time_limit" || name == "dpc_watchdog_period" || name == "clock_watchdog_ticks" || name == "storm_dispatches") continue;
    take_options(simpler);
    if (fails(simpler)) best = simpler;
  }
  return best;
}

std::string explain(const Program& program, std::size_t limit) {
  const Both both = run_both(program, limit);
  if (both.equal()) return "kernel and model agree\n";
  std::string text;
  const std::size_t step = both.alike;
  text += fmt::format("step {} differs\n  kernel: {}\n  model:  {}\n", step, step_or_nothing(both.kernel.steps, step, program),
                      step_or_nothing(both.model, step, program));
  if (!both.kernel.ended.empty()) text += "the kernel's run has ended:\n" + both.kernel.ended + "\n";
  if (step < both.kernel.steps.size() && step < both.model.size()) {
    const KernelRun again = run_kernel(program, step + 1, step);
    Model model(program, again.beginning);
    model.run(step + 1);
    Listing listing;
    model.observe(listing);
    text += "what can be observed after it:\n" + differences(again.listing, listing.items);
  }
  text += "the steps before it:\n";
  for (std::size_t i = step - std::min(step, kShown); i < step; ++i) text += "  " + text_of(both.kernel.steps[i], program) + "\n";
  return text;
}

}  // namespace kdpc::model
