/* What nft prints of our table: no text does more than be refused. */
#include "tunnel/firewall/nft_listing.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nft_listing listing;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (nft_listing_read(text, &listing) == 0) {
        for (size_t i = 0; i < listing.n_leases; i++) {
            if (listing.leases[i].remaining_ms < 0 || listing.leases[i].lease.source.prefix > 32)
                abort();
        }
    }
    free(text);
    return 0;
}
