/* Network interfaces: RTM_GETLINK, RTM_DELLINK. */
#include "tunnel/os/rtnl_links.h"

#include "agent/base/memory.h"
#include "tunnel/os/netlink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Copies the text of ATTRIBUTE (terminated or not); what does not fit is cut. */
static void rtnl_links_copy_text(const struct nlattr *attribute, char *text, size_t size)
{
    size_t length = netlink_value_bytes(attribute);
    if (length > size - 1)
        length = size - 1;
    memcpy(text, netlink_value(attribute), length);
    text[length] = '\0';
}

/* An index of this machine's own; 0 when there is none. */
static unsigned read_index(const uint8_t *first, size_t length, uint16_t type)
{
    const struct nlattr *attribute = netlink_find(first, length, type);
    unsigned index = 0;
    if (attribute && netlink_value_bytes(attribute) == sizeof(index))
        memcpy(&index, netlink_value(attribute), sizeof(index));
    return index;
}

bool rtnl_link_read(const struct nlmsghdr *message, struct rtnl_link_info *ret_link)
{
    const size_t header = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    struct rtnl_link_info link = {0};
    struct ifinfomsg about;
    if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < header)
        return false;
    memcpy(&about, NLMSG_DATA(message), sizeof(about));
    link.index = (unsigned)about.ifi_index;
    const uint8_t *first = (const uint8_t *)message + header;
    size_t length = message->nlmsg_len - header;
    const struct nlattr *name = netlink_find(first, length, IFLA_IFNAME);
    const struct nlattr *info = netlink_find(first, length, IFLA_LINKINFO);
    const struct nlattr *kind =
        info ? netlink_find(netlink_value(info), netlink_value_bytes(info), IFLA_INFO_KIND) : NULL;
    if (!name)
        return false;
    link.is_up = (about.ifi_flags & IFF_UP) != 0;
    link.master = read_index(first, length, IFLA_MASTER);
    /* With this attribute the index counts in another network namespace: a veth's peer. */
    if (!netlink_find(first, length, IFLA_LINK_NETNSID))
        link.parent = read_index(first, length, IFLA_LINK);
    if (link.parent == link.index) /* real hardware */
        link.parent = 0;
    rtnl_links_copy_text(name, link.name, sizeof(link.name));
    if (kind)
        rtnl_links_copy_text(kind, link.kind, sizeof(link.kind));
    *ret_link = link;
    return link.name[0] != '\0';
}

static void take_link(const struct nlmsghdr *message, void *context)
{
    struct rtnl_link_list *list = context;
    struct rtnl_link_info link;
    if (!rtnl_link_read(message, &link))
        return;
    if (list->length == list->room) {
        list->room = list->room ? 2 * list->room : 16;
        list->items = memory_resize(list->items, list->room, sizeof(*list->items));
    }
    list->items[list->length++] = link;
}

int rtnl_links_list(int socket, struct rtnl_link_list *list)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    const uint32_t without = RTEXT_FILTER_SKIP_STATS;
    struct netlink_request request;
    list->length = 0;
    netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &header, sizeof(header));
    netlink_put(&request, IFLA_EXT_MASK, &without, sizeof(without));
    return netlink_ask(socket, &request, take_link, list);
}

void rtnl_link_list_free(struct rtnl_link_list *list)
{
    free(list->items);
    *list = (struct rtnl_link_list){0};
}

int rtnl_link_delete(int socket, unsigned index)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
    struct netlink_request request;
    netlink_begin(&request, RTM_DELLINK, 0, &header, sizeof(header));
    return netlink_ask(socket, &request, NULL, NULL);
}
