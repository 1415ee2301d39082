//! Types that can be made of any bytes.
//!
//! These macros do what the derive of `arbitrary` does. Its feature would build cranelift, which
//! depends on that crate too, once with and once without it.

/// Defines a struct that is made field by field.
macro_rules! struct_of_bytes {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $type ),*
        }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(bytes: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self { $( $field: bytes.arbitrary()? ),* })
            }
        }
    };
}

/// Defines an enum of which each variant is as likely.
macro_rules! enum_of_bytes {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident
                $( ( $($inner:ty),* $(,)? ) )?
                $( { $( $field:ident : $type:ty ),* $(,)? } )?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $(
                $(#[$variant_meta])*
                $variant $( ( $($inner),* ) )? $( { $( $field: $type ),* } )?
            ),*
        }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(bytes: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                type Make<'a> = fn(&mut arbitrary::Unstructured<'a>) -> arbitrary::Result<$name>;
                let variants: &[Make<'a>] = &[
                    $(
                        |_bytes| Ok($name::$variant
                            $( ( $( _bytes.arbitrary::<$inner>()? ),* ) )?
                            $( { $( $field: _bytes.arbitrary()? ),* } )?)
                    ),*
                ];
                let number: u32 = bytes.arbitrary()?;
                let index = (u64::from(number) * variants.len() as u64) >> 32;
                let make = usize::try_from(index).ok().and_then(|it| variants.get(it));
                make.expect("a number below 2^32, shifted, is in bounds")(bytes)
            }
        }
    };
}

pub(crate) use {enum_of_bytes, struct_of_bytes};
