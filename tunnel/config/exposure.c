/* The machine's interfaces against firewall.wan and firewall.plant. */
#include "tunnel/config/exposure.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <string.h>

enum side { SIDE_NONE = 0, SIDE_WAN = 1, SIDE_PLANT = 2, SIDE_BOTH = 3 };

static bool is_in(const struct interface_pattern *patterns, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(patterns[i].text);
        bool is_pattern = length > 0 && patterns[i].text[length - 1] == '*';
        if (is_pattern ? strncmp(patterns[i].text, name, length - 1) == 0
                       : strcmp(patterns[i].text, name) == 0)
            return true;
    }
    return false;
}

static unsigned side_of(const struct firewall_config *firewall, const struct rtnl_link_info *link)
{
    return (is_in(firewall->wan, firewall->n_wan, link->name) ? SIDE_WAN : SIDE_NONE) |
           (is_in(firewall->plant, firewall->n_plant, link->name) ? SIDE_PLANT : SIDE_NONE);
}

static const struct rtnl_link_info *exposure_find_link(const struct rtnl_link_list *links,
                                                       unsigned index)
{
    for (size_t i = 0; index && i < links->length; i++) {
        if (links->items[i].index == index)
            return &links->items[i];
    }
    return NULL;
}

/* It only has routes: what its members receive stays theirs. */
static bool is_vrf(const struct rtnl_link_info *link)
{
    return strcmp(link->kind, "vrf") == 0;
}

/* The bridge or bond whose packets those of LINK are; NULL: none. */
static const struct rtnl_link_info *master_of(const struct rtnl_link_list *links,
                                              const struct rtnl_link_info *link)
{
    const struct rtnl_link_info *master = exposure_find_link(links, link->master);
    return master && !is_vrf(master) ? master : NULL;
}

/* ---- What one wire reaches ---- */

/* Everything whose packets pass the interface where the walk began, without any rule. */
struct walk {
    const struct firewall_config *firewall;
    const struct rtnl_link_list *links;
    bool *is_seen; /* of each link */
};

static void walk_to(struct walk *walk, const struct rtnl_link_info *link)
{
    if (!link || walk->is_seen[link - walk->links->items])
        return;
    walk->is_seen[link - walk->links->items] = true;
    const struct rtnl_link_info *parent = exposure_find_link(walk->links, link->parent);
    walk_to(walk, parent);
    if (parent && strcmp(link->kind, "veth") == 0) /* a cable inside this machine */
        walk_to(walk, master_of(walk->links, parent));
    for (size_t i = 0; !is_vrf(link) && i < walk->links->length; i++) {
        if (walk->links->items[i].master == link->index)
            walk_to(walk, &walk->links->items[i]);
    }
}

static const char *name_on(const struct walk *walk, unsigned side)
{
    for (size_t i = 0; i < walk->links->length; i++) {
        if (walk->is_seen[i] && (side_of(walk->firewall, &walk->links->items[i]) & side))
            return walk->links->items[i].name;
    }
    return NULL;
}

/*
 * Of LINK, which is no member: the walk from its master goes on to each member's parents. Two VLANs
 * of one wire are apart, so a walk goes from a VLAN to what it lies on, never back. A
 * pattern may put one interface on both sides.
 */
static bool joins_sides(const struct firewall_config *firewall, const struct rtnl_link_list *links,
                        const struct rtnl_link_info *link, struct strbuf *problem)
{
    CLEANUP(memory_free_pointer) bool *is_seen = memory_zeroed(links->length, sizeof(*is_seen));
    struct walk walk = {firewall, links, is_seen};
    walk_to(&walk, link);
    const char *wan = name_on(&walk, SIDE_WAN), *plant = name_on(&walk, SIDE_PLANT);
    if (!wan || !plant)
        return false;
    strbuf_addf(problem,
                "%s joins %s of the WAN and %s of the plant: no rule sees what passes between "
                "them; take them apart",
                link->name, wan, plant);
    return true;
}

/* ---- What is on no side ---- */

static bool is_ours(const struct rtnl_link_info *link)
{
    return strcmp(link->name, "lo") == 0 || strncmp(link->name, "spt", 3) == 0;
}

static bool is_unlisted(const struct firewall_config *firewall, const struct rtnl_link_list *links,
                        const struct rtnl_link_info *link, struct strbuf *problem)
{
    if (!link->is_up || is_ours(link) || is_vrf(link) || master_of(links, link) ||
        side_of(firewall, link))
        return false;
    strbuf_addf(problem,
                "%s is neither in firewall.wan nor in firewall.plant: add it to one of them in "
                "netd.conf, or take it down",
                link->name);
    return true;
}

bool exposure_find(const struct firewall_config *firewall, const struct rtnl_link_list *links,
                   struct strbuf *problem)
{
    for (size_t i = 0; i < links->length; i++) {
        if (!master_of(links, &links->items[i]) &&
            joins_sides(firewall, links, &links->items[i], problem))
            return true;
    }
    for (size_t i = 0; i < links->length; i++) {
        if (is_unlisted(firewall, links, &links->items[i], problem))
            return true;
    }
    return false;
}

bool exposure_is_machine(const struct firewall_config *firewall, const struct rtnl_link_list *links)
{
    for (size_t i = 0; i < links->length; i++) {
        if (side_of(firewall, &links->items[i]))
            return true;
    }
    return false;
}
