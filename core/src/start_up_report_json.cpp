// The start-up report as JSON. The only file that knows the JSON library.
#include <nlohmann/json.hpp>

#include "knit/start_up_report.hpp"

namespace knit {
namespace {

using Json = nlohmann::ordered_json;

Json limit_json(const LimitReport& limit) {
    const auto value = [](std::uint64_t number) { return number == LimitReport::kNoLimit ? Json() : Json(number); };
    return Json{{"soft", value(limit.soft)}, {"hard", value(limit.hard)}};
}

}  // namespace

std::string StartUpReport::to_json() const {
    Json json;
    json["driver"] = Json{{"name", driver.name},
                          {"reason", driver.reason},
                          {"entries", driver.entries},
                          {"flags_granted", driver.flags_granted},
                          {"flags_stripped", driver.flags_stripped}};
    json["kernel"] = kernel;
    json["loops"] = loops;
    json["loops_limited_by"] = loops_limited_by;
    json["allowed_cpus"] = allowed_cpus;
    json["cgroup_quota"] = cgroup_quota > 0 ? Json(cgroup_quota) : Json();
    json["descriptors"] = limit_json(descriptors);
    json["locked_memory"] = limit_json(locked_memory);
    json["advice"] = advice;
    json["settings"] = Json::array();
    for (const EffectiveSetting& row : settings) {
        json["settings"].push_back(
            {{"variable", row.variable}, {"field", row.field}, {"value", row.value}, {"source", row.source}});
    }
    // What comes from outside may be no UTF-8: replaced, because a report that throws is no help.
    return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace knit
